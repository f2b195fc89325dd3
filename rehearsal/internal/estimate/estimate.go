// Package estimate says what a stack will cost in a month, and how long AWS will take to make it and to delete it. The prices are list
// prices, each with its source (prices.csv). The durations are the typical ones of the model of AWS. Neither was measured in an account.
package estimate

import (
	"slices"
	"time"
)

// Resource is one resource of a stack, as its state or a preview describes it.
type Resource struct {
	URN, Type string
	// Name is the resource's name in the program.
	Name string
	// Parent is the URN of the component that it belongs to, "" if it belongs to the stack itself.
	Parent string
	// Custom tells that something is made for it; a component only groups others.
	Custom bool
	// Dependencies are the URNs of what must be there before it, sorted: what the program says, where its inputs come from, and its
	// provider.
	Dependencies []string
	// Inputs are what the program gives; secrets and values that are not known yet are texts in brackets.
	Inputs map[string]any
}

// Item is one line of a monthly bill.
type Item struct {
	// Name says what is paid for: "nodes expense", "NAT gateway".
	Name string `json:"name"`
	// Quantity says how much of it: "3 x m5.large, spot".
	Quantity string `json:"quantity"`
	// Monthly is in USD for a month of 730 hours. OnDemand is the price on demand, which differs for spot nodes only.
	Monthly  float64 `json:"monthly"`
	OnDemand float64 `json:"onDemand"`
	// Note is what the figure rests on beside a list price: an assumed amount, a discount, extended support.
	Note string `json:"note,omitempty"`
	// Verified tells that every price in it was seen in its source, one of Sources. The others are from memory.
	Verified bool     `json:"verified"`
	Sources  []string `json:"sources,omitempty"`
}

// Bill is what a stack costs in a month.
type Bill struct {
	Items []Item `json:"items"`
	// Monthly and OnDemand are the sums.
	Monthly  float64 `json:"monthly"`
	OnDemand float64 `json:"onDemand"`
	// Unpriced are the things that are not in the sums because the table has no price, with the reason.
	Unpriced []string `json:"unpriced,omitempty"`
	// Crowded says where the nodes cannot carry the pods that may be.
	Crowded []string `json:"crowded,omitempty"`
}

// Operation is one operation on one resource, with its place in time.
type Operation struct {
	URN  string `json:"urn"`
	Type string `json:"type"`
	Name string `json:"name"`
	// Verb is create, update, replace or delete.
	Verb string `json:"verb"`
	// Start and End count from the start of the command. JSON has durations in nanoseconds.
	Start time.Duration `json:"start"`
	End   time.Duration `json:"end"`
	// Critical tells that the whole takes longer if this operation does.
	Critical bool `json:"critical,omitempty"`
}

// Timeline is the order in which the engine does its operations, in AWS's time.
type Timeline struct {
	// Operations are sorted by start, then by URN.
	Operations []Operation   `json:"operations"`
	Total      time.Duration `json:"total"`
	// Untimed are the types without a known duration, sorted. They count as nothing.
	Untimed []string `json:"untimed,omitempty"`
}

// Estimate is what is said of a stack before it is made.
type Estimate struct {
	Resources []Resource `json:"-"`
	Bill      Bill       `json:"bill"`
	// Up makes the whole stack where nothing is, Destroy takes all of it away.
	Up      Timeline `json:"up"`
	Destroy Timeline `json:"destroy"`
}

// Comparison is the estimate of a stack before and after a change.
type Comparison struct {
	// Before is nil where there was no such stack.
	Before *Estimate `json:"before,omitempty"`
	After  Estimate  `json:"after"`
	// Apply is the change itself, nil if nothing changes the stack.
	Apply *Timeline `json:"apply,omitempty"`
}

// Row is an item of two bills.
type Row struct {
	// Item is from the bill after the change, or from the one before if it is gone.
	Item
	// Before and After are USD a month, 0 if the bill lacks the item.
	Before, After float64
}

// Rows are both bills' items, those of the bill after the change first.
func (c Comparison) Rows() []Row {
	var rows []Row
	for _, item := range c.After.Bill.Items {
		rows = append(rows, Row{Item: item, After: item.Monthly})
	}
	if c.Before == nil {
		return rows
	}
	for _, item := range c.Before.Bill.Items {
		if i := slices.IndexFunc(rows, func(row Row) bool { return row.Name == item.Name && row.Before == 0 }); i >= 0 {
			rows[i].Before = item.Monthly
		} else {
			rows = append(rows, Row{Item: item, Before: item.Monthly})
		}
	}
	return rows
}
