package report

import (
	"fmt"
	"math"
	"net/url"
	"slices"
	"strings"

	"expense/rehearsal/internal/estimate"
)

// billView is the monthly bill, before and after.
type billView struct {
	// Compared tells that there is a bill from before.
	Compared bool
	Lines    []billLine
	Total    billLine
	Unpriced []string
	// Estimated tells that some figure is not verified.
	Estimated bool
}

// billLine is one thing that is paid for. Of what goes, Item is the one from before, with nothing to pay.
type billLine struct {
	estimate.Item
	Before float64
	New    bool
	Gone   bool
}

// Difference is what the change costs more in a month.
func (l billLine) Difference() float64 { return l.Monthly - l.Before }

// Spot tells that the price on demand is another one.
func (l billLine) Spot() bool { return math.Abs(l.OnDemand-l.Monthly) >= 0.005 }

// newBill pairs the items by their names, in their order; what goes comes last.
func newBill(before *estimate.Estimate, after estimate.Estimate) billView {
	view := billView{Compared: before != nil, Unpriced: after.Bill.Unpriced}
	view.Total.Monthly, view.Total.OnDemand = after.Bill.Monthly, after.Bill.OnDemand
	var earlier []estimate.Item
	if before != nil {
		earlier = slices.Clone(before.Bill.Items)
		view.Total.Before = before.Bill.Monthly
	}
	for _, item := range after.Bill.Items {
		l := billLine{Item: item}
		if i := slices.IndexFunc(earlier, func(e estimate.Item) bool { return e.Name == item.Name }); i >= 0 {
			l.Before = earlier[i].Monthly
			earlier = slices.Delete(earlier, i, i+1)
		} else {
			l.New = view.Compared
		}
		view.Lines = append(view.Lines, l)
	}
	for _, item := range earlier {
		l := billLine{Item: item, Before: item.Monthly, Gone: true}
		l.Monthly, l.OnDemand = 0, 0
		view.Lines = append(view.Lines, l)
	}
	view.Estimated = slices.ContainsFunc(view.Lines, func(l billLine) bool { return !l.Verified })
	return view
}

// money is an amount in USD: $1,234.50.
func money(usd float64) string {
	text := fmt.Sprintf("%.2f", math.Abs(usd))
	whole, cents, _ := strings.Cut(text, ".")
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	text = "$" + whole + "." + cents
	if usd <= -0.005 {
		return "−" + text
	}
	return text
}

// signed is a difference in USD, with its sign.
func signed(usd float64) string {
	switch {
	case math.Abs(usd) < 0.005:
		return "±$0"
	case usd > 0:
		return "+" + money(usd)
	}
	return money(usd)
}

// source names a source for people: its address without what is the same everywhere.
func source(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return clip(address, 60)
	}
	return clip(strings.Trim(strings.TrimPrefix(u.Host, "www.")+u.Path, "/"), 60)
}
