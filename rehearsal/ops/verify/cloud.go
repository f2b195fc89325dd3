package verify

var cloudChecks = []Check{}
