module screwtape

go 1.26
