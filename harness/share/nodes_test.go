package share

const mapHelper = "SHARE_TEST_MAP"

func helpMap(string) {}
