"""From one unit to a layer of them: ascent, compiled programs, chunks, lanes and devices."""
