package verify

var touchChecks = []Check{}
