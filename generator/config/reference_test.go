package config

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	schemas "github.com/google/jsonschema-go/jsonschema"

	"github.com/osbs-tekton/osbs/internal/golden"
)

// sections are the mappings whose keys have a table, by the key under which they are.
var sections = []struct{ title, key, text string }{
	{"Keys", "", ""},
	{"Certificates", "git_ca", "`git_ca`, `registry_ca` and `ca` of a Pulp name a key of a ConfigMap, or of a Secret."},
	{"pulp", "pulp", "`pulp.NAME`, where NAME is what `pulp_registry_name` says. Several Pulps are accepted: the one that is named is synced into."},
	{"Volumes", "archive_volume", "`archive_volume` and `storage` are an existing claim, or an NFS share."},
	{"NFS shares", "archive_volume.nfs", "`nfs` of a volume."},
	{"build_secret", "build_secret", "Each element has all of these keys."},
	{"proxy", "proxy", "See [registries.md](registries.md#proxies)."},
	{"workspace", "workspace", ""},
	{"stages", "stages", "`stages.STAGE`, where STAGE is clone, detect-base, lock, prepare, build, push, sync or import. Stages that share a pod must agree on what is about the pod."},
	{"resources", "stages.resources", "`resources` of a stage and of `autorebuild`."},
	{"autorebuild", "autorebuild", ""},
}

func TestReferenceIsCurrent(t *testing.T) {
	head, err := os.ReadFile("testdata/reference-head.md")
	if err != nil {
		t.Fatal(err)
	}
	s, _ := makeSchema(t)
	var b strings.Builder
	b.Write(head)
	for _, section := range sections {
		fmt.Fprintf(&b, "\n## %s\n\n", section.title)
		if section.text != "" {
			b.WriteString(section.text + "\n\n")
		}
		table(&b, below(s, section.key))
	}
	golden.Check(t, *update, "../../docs/pipeline-configuration.md", b.String())
}

// below is the schema of the mapping, or of the elements or values, at a key.
func below(s *schemas.Schema, key string) *schemas.Schema {
	for word := range strings.SplitSeq(key, ".") {
		if word == "" {
			continue
		}
		s = s.Properties[word]
		if s.Items != nil {
			s = s.Items
		}
		if s.Properties == nil && s.AdditionalProperties != nil {
			s = s.AdditionalProperties
		}
	}
	return s
}

func table(b *strings.Builder, s *schemas.Schema) {
	b.WriteString("| key | value | default | meaning |\n|---|---|---|---|\n")
	for _, name := range s.PropertyOrder {
		p := s.Properties[name]
		standard := ""
		if p.Default != nil {
			standard = "`" + plain(p.Default) + "`"
		}
		meaning := p.Description
		if needs := s.DependentRequired[name]; needs != nil {
			meaning += " Needs `" + needs[0] + "`."
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", name, kindOf(p), standard, meaning)
	}
}

// kindOf says in words what a value is.
func kindOf(p *schemas.Schema) string {
	switch {
	case p.Enum != nil:
		words := make([]string, len(p.Enum))
		for i, e := range p.Enum {
			words[i] = fmt.Sprintf("`%v`", e)
		}
		return strings.Join(words, ", ")
	case p.Pattern == rulesByKind["timeout"].pattern:
		return "duration"
	case p.Types != nil:
		return "quantity"
	case p.OneOf != nil && p.OneOf[0].Type == "array":
		return "list"
	case p.OneOf != nil && p.OneOf[0].Enum != nil:
		return kindOf(p.OneOf[0]) + ", or a list of lists"
	case p.Items != nil:
		return "list of mappings"
	case p.Type == "integer":
		return fmt.Sprintf("%.0f to %.0f", *p.Minimum, *p.Maximum)
	case p.Type == "object":
		return "mapping"
	case p.Type == "string":
		return "text"
	}
	return p.Type
}

// plain is a value as YAML has it.
func plain(data json.RawMessage) string {
	var list []string
	if json.Unmarshal(data, &list) == nil {
		return strings.Join(list, ", ")
	}
	return strings.Trim(string(data), `"`)
}
