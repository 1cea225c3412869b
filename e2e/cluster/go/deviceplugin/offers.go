package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// readOffers returns how many devices each resource has: from the control file where there is one, else from the
// comma-separated list otherwise ("resource=count,resource=count").
func readOffers(control, otherwise string) (map[string]int, error) {
	text, err := os.ReadFile(filepath.Join(control, "devices"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return parseOffers(otherwise)
	case err != nil:
		return nil, err
	}
	return parseOffers(string(text))
}

func parseOffers(text string) (map[string]int, error) {
	offers := map[string]int{}
	for _, item := range strings.FieldsFunc(text, func(r rune) bool { return r == ',' || r == '\n' || r == ' ' }) {
		resource, count, _ := strings.Cut(item, "=")
		n, err := strconv.Atoi(count)
		if err != nil || n < 0 || !strings.Contains(resource, "/") {
			return nil, fmt.Errorf("%q is not resource=count, as in nvidia.com/mig-1g.10gb=2", item)
		}
		offers[resource] = n
	}
	return offers, nil
}

// readDead returns the ids of the devices that a control file says are dead.
func readDead(control string) map[string]bool {
	dead := map[string]bool{}
	files, _ := os.ReadDir(filepath.Join(control, "unhealthy")) // no folder: all are well
	for _, f := range files {
		dead[f.Name()] = true
	}
	return dead
}
