package awsmodel

// Reset empties the account, also of what AWS keeps by design, for another life of the stack on the same stage.
func (m *Model) Reset() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects = map[string]map[string]*object{}
	m.noSpot, m.spoiled = map[string]bool{}, map[string]error{}
	m.notify()
}
