module modelserver

go 1.25
