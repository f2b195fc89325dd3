package verify

var breakChecks = []Check{}
