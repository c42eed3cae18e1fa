package harness

const victimMark = "SCREWTAPE_VICTIM"

func beVictim() int { return 0 }
