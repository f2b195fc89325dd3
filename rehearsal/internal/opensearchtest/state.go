package opensearchtest

import "fmt"

// State is what the domain was told, in a form to compare: without versions, times and IDs, which every repeated request changes.
type State struct {
	// Roles, Mappings and Templates are by name, without those that OpenSearch comes with.
	Roles, Mappings, Templates map[string]any
	Audit                      any
	// History says that the index management keeps a history.
	History bool
	// Policies are by name, as they were sent, SavedObjects by tenant, type and ID.
	Policies, SavedObjects map[string]any
	// Streams are the names of the indices of each data stream, the one that is written to last.
	Streams map[string][]string
	Indices map[string]IndexState
}

// IndexState is one index's part of State.
type IndexState struct {
	Status             string // open or close
	Settings, Mappings any
	// Policy is the one that manages the index.
	Policy string
	// Newest says that the index has the newest version of its policy.
	Newest bool
}

// State asks OpenSearch and the stand-ins.
func (s *Server) State() State {
	s.tb.Helper()
	state, err := s.state()
	if err != nil {
		s.tb.Fatal(err)
	}
	return state
}

func (s *Server) state() (State, error) {
	s.standIns.Lock()
	defer s.standIns.Unlock()
	state := State{
		History: !s.ism.silent, Templates: map[string]any{}, Policies: map[string]any{}, SavedObjects: map[string]any{},
		Streams: map[string][]string{}, Indices: map[string]IndexState{},
	}
	var err error
	if state.Roles, err = s.Node.Made("roles"); err != nil {
		return state, err
	}
	if state.Mappings, err = s.Node.Made("rolesmapping"); err != nil {
		return state, err
	}
	if state.Audit, err = s.Node.Audit(); err != nil {
		return state, err
	}
	var templates struct {
		Templates []struct {
			Name     string
			Template any `json:"index_template"`
		} `json:"index_templates"`
	}
	if err := s.get("/_index_template", &templates); err != nil {
		return state, err
	}
	for _, t := range templates.Templates {
		state.Templates[t.Name] = t.Template
	}
	for id, p := range s.ism.policies {
		state.Policies[id] = p.body
	}
	for key, saved := range s.saved {
		state.SavedObjects[key] = saved
	}
	return state, s.stateOfIndices(state)
}

func (s *Server) stateOfIndices(state State) error {
	if err := s.ism.sweep(); err != nil {
		return err
	}
	all, err := s.ism.indices()
	if err != nil {
		return err
	}
	var settings map[string]struct {
		Settings struct{ Index object }
		Mappings any
	}
	if err := s.get("/_all?expand_wildcards=all", &settings); err != nil {
		return err
	}
	for _, one := range all {
		if one.stream != "" {
			state.Streams[one.stream] = append(state.Streams[one.stream], one.Name)
		}
		index := settings[one.Name].Settings.Index
		for _, volatile := range []string{"creation_date", "provided_name", "uuid", "version"} {
			delete(index, volatile)
		}
		has := s.ism.managed[one.UUID]
		p := s.ism.policies[has.policy]
		state.Indices[one.Name] = IndexState{one.Status, index, settings[one.Name].Mappings, has.policy, p != nil && p.sequence == has.sequence}
	}
	return nil
}

// get asks OpenSearch for what must be there.
func (s *Server) get(path string, into any) error {
	refusal, err := s.ism.ask(path, into)
	if refusal != nil {
		err = fmt.Errorf("GET %s: %d %s", path, refusal.Status, refusal.Body)
	}
	return err
}
