// Package published is data that AWS or others published, with the sources in the files. Tests of the settings and of the
// rehearsal's model are held against the same rows; the program itself does not use it.
package published

import (
	_ "embed"
	"encoding/csv"
	"strings"
)

//go:embed regions.csv
var regions string

//go:embed volumes.csv
var volumes string

// Regions are AWS's: name, partition, and how its zones' IDs start, of the partitions that are allowed.
func Regions() [][]string { return rows(regions) }

// Volumes are answers of OpenSearch Service to others: instance type without ".search", GiB, IOPS and MiB/s of a gp3 volume
// ("" is left to AWS), and the answer.
func Volumes() [][]string { return rows(volumes) }

// rows panics on a broken file: it is part of the program's text.
func rows(text string) [][]string {
	list := csv.NewReader(strings.NewReader(text))
	list.Comment = '#'
	all, err := list.ReadAll()
	if err != nil {
		panic(err)
	}
	return all
}
