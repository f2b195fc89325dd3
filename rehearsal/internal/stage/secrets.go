package stage

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"go.yaml.in/yaml/v3"
)

// word replaces every secret.
const word = "not-a-real-token"

// withoutSecrets replaces each secret of a stack's file, which only its owner can decrypt, by a word, and removes the keys that say how
// it was encrypted: then the rehearsal's own passphrase will do
// (https://www.pulumi.com/docs/iac/concepts/projects/stack-settings-file/). secrets are the paths of the words, as `pulumi
// config set --path` takes them.
func withoutSecrets(data []byte) (plain []byte, secrets []string, err error) {
	var file yaml.Node
	if err := yaml.Unmarshal(data, &file); err != nil {
		return nil, nil, err
	}
	if len(file.Content) == 0 || file.Content[0].Kind != yaml.MappingNode {
		return data, nil, nil
	}
	root := file.Content[0]
	for i := 0; i < len(root.Content); {
		switch key := root.Content[i].Value; key {
		case "secretsprovider", "encryptedkey", "encryptionsalt", "environment":
			root.Content = slices.Delete(root.Content, i, i+2)
			continue
		case "config":
			for n := 0; n+1 < len(root.Content[i+1].Content); n += 2 {
				at := strings.LastIndex(root.Content[i+1].Content[n].Value, ":") + 1
				namespace, name := root.Content[i+1].Content[n].Value[:at], root.Content[i+1].Content[n].Value[at:]
				for _, path := range replaceSecrets(root.Content[i+1].Content[n+1], resource.PropertyPath{name}) {
					secrets = append(secrets, namespace+path.String())
				}
			}
		}
		i += 2
	}
	if plain, err = yaml.Marshal(&file); err != nil {
		return nil, nil, fmt.Errorf("writing it anew: %w", err)
	}
	return plain, secrets, nil
}

// replaceSecrets replaces each map whose only key is secure by the word, and returns their paths.
func replaceSecrets(value *yaml.Node, at resource.PropertyPath) (paths []resource.PropertyPath) {
	switch value.Kind {
	case yaml.MappingNode:
		if len(value.Content) == 2 && value.Content[0].Value == "secure" && value.Content[1].Kind == yaml.ScalarNode {
			*value = yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: word, Anchor: value.Anchor}
			return []resource.PropertyPath{at}
		}
		for i := 0; i+1 < len(value.Content); i += 2 {
			paths = append(paths, replaceSecrets(value.Content[i+1], append(slices.Clone(at), value.Content[i].Value))...)
		}
	case yaml.SequenceNode:
		for i, element := range value.Content {
			paths = append(paths, replaceSecrets(element, append(slices.Clone(at), i))...)
		}
	}
	return paths
}
