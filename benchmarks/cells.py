"""What is measured: a shallow, a middle and a deep layer of each network."""

#: (network, layer, side of the image in pixels)
CELLS = [
    ("galaxy", "conv1", 128),
    ("galaxy", "conv2", 128),
    ("galaxy", "conv3", 128),
    ("mini-xception", "conv2d_2", 64),
    ("mini-xception", "conv2d_4", 64),
    ("mini-xception", "conv2d_7", 64),
    ("vgg16", "block1_conv2", 96),
    ("vgg16", "block3_conv1", 96),
    ("vgg16", "block5_conv1", 96),
    ("mobilenetv2", "expanded_conv_project", 96),
    ("mobilenetv2", "block_6_expand", 96),
    ("mobilenetv2", "block_13_expand", 96),
    ("resnet50", "conv2_block1_3_conv", 96),
    ("resnet50", "conv3_block4_3_conv", 96),
    ("resnet50", "conv5_block1_2_conv", 96),
    ("inceptionv3", "conv2d_3", 139),
    ("inceptionv3", "conv2d_30", 139),
    ("inceptionv3", "conv2d_71", 139),
    ("efficientnetb0", "block1a_project_conv", 96),
    ("efficientnetb0", "block4a_expand_conv", 96),
    ("efficientnetb0", "block6a_expand_conv", 96),
    ("xception", "block2_sepconv2", 96),
    ("xception", "block8_sepconv1", 96),
    ("xception", "block14_sepconv1", 96),
]
