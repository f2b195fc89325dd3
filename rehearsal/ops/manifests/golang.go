package manifests

func (g *gathering) needsGo(e *entry) bool   { return false }
func (g *gathering) golang() (string, error) { return "", nil }
