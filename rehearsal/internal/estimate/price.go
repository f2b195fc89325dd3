package estimate

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"
)

// Region is the one whose prices the table has.
const Region = "us-east-1"

// Price is one list price of Region.
type Price struct {
	// Key is the table's, such as ec2.nat, or that of an instance type, such as ec2.m5.large or opensearch.m7g.large.
	Key string
	// Unit is hour, month, GiB or GiB-month; USD is the price of one.
	Unit string
	USD  float64
	// Seen is the day on which the source was made or read, as 2006-01-02.
	Seen string
	// Verified tells that the figure was read in Source, a URL. If it was not, look it up there.
	Verified bool
	Source   string
}

// hours are those of a month in AWS's own calculator (https://calculator.aws).
const hours = 730

//go:embed prices.csv
var pricesCSV string

var prices = func() map[string]Price {
	reader := csv.NewReader(strings.NewReader(pricesCSV))
	reader.Comment = '#'
	rows, err := reader.ReadAll()
	if err != nil {
		panic(err)
	}
	table := map[string]Price{}
	for _, row := range rows[1:] {
		usd, err := strconv.ParseFloat(row[2], 64)
		if err != nil {
			panic(fmt.Sprintf("prices.csv: %s: %v", row[0], err))
		}
		table[row[0]] = Price{Key: row[0], Unit: row[1], USD: usd, Seen: row[3], Verified: row[4] == "yes", Source: row[5]}
	}
	return table
}()

// PriceOf finds a price; ok is false if the table does not have it. The price of an instance family grows with the size, within a
// hundredth in the sources.
func PriceOf(key string) (price Price, ok bool) {
	if price, ok = prices[key]; ok {
		return price, true
	}
	i := strings.LastIndex(key, ".")
	if i < 0 {
		return Price{}, false
	}
	factor, known := larger(key[i+1:])
	price, ok = prices[key[:i]]
	if !ok || !known || price.Unit != "hour" {
		return Price{}, false
	}
	price.Key, price.USD = key, price.USD*factor
	return price, true
}

// larger is how many times as large as "large" a size is.
func larger(size string) (float64, bool) {
	sizes := map[string]float64{"nano": 1. / 16, "micro": 1. / 8, "small": 1. / 4, "medium": 1. / 2, "large": 1, "xlarge": 2}
	if factor, ok := sizes[size]; ok {
		return factor, true
	}
	n, err := strconv.Atoi(strings.TrimSuffix(size, "xlarge"))
	return 2 * float64(n), err == nil && n > 1 && strings.HasSuffix(size, "xlarge")
}

// Monthly is what one unit costs in a month.
func (p Price) Monthly() float64 {
	if p.Unit == "hour" {
		return p.USD * hours
	}
	return p.USD
}
