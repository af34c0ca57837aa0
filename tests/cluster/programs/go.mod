module local/programs

go 1.26.0
