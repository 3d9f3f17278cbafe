package upgrade

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"io"
	"slices"
	"strings"

	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/osbs-tekton/osbs/generator/chain/tree"
	"github.com/osbs-tekton/osbs/generator/manifest"
	"github.com/osbs-tekton/osbs/pkg/failure"
)

const (
	// recordLabel marks the ConfigMap that holds a copy of what was generated, recordKey is where it has it: as gzip.
	recordLabel = "osbs.dev/generated"
	recordKey   = "objects.yaml.gz"
	// maxRecord bounds the copy in bytes: a ConfigMap may have 1 MiB. maxObjects bounds what it holds.
	maxRecord  = 700 << 10
	maxObjects = 4 << 20
)

// Stamp returns objects and a ConfigMap NAME-generated that holds a copy of them, where NAME is that of the Pipeline among them. If
// there is such a ConfigMap already, it returns objects as they are.
//
// It is one object and not an annotation on each, because Tekton copies a Pipeline's annotations to its runs and to their pods.
func Stamp(objects []*yaml.RNode) ([]*yaml.RNode, error) {
	if record(objects) != nil {
		return objects, nil
	}
	i := slices.IndexFunc(objects, func(o *yaml.RNode) bool { return o.GetKind() == "Pipeline" })
	if i < 0 {
		return nil, failure.New(failure.Internal, "recording what was generated: there is no Pipeline")
	}
	data, err := pack(objects)
	if err != nil {
		return nil, err
	}
	pipeline := objects[i].YNode()
	labels := tree.Map()
	for _, name := range []string{"name", "instance", "part-of", "managed-by", "version"} {
		if v := tree.Text(pipeline, "metadata", "labels", "app.kubernetes.io/"+name); v != "" {
			tree.Set(labels, "app.kubernetes.io/"+name, tree.String(v))
		}
	}
	tree.Set(labels, recordLabel, tree.String("true"))
	content := tree.String(data)
	content.Style = yaml.LiteralStyle
	n := tree.Map(
		"apiVersion", "v1", "kind", "ConfigMap",
		"metadata", tree.Map("name", objects[i].GetName()+"-generated", "namespace", objects[i].GetNamespace(), "labels", labels),
		"binaryData", tree.Map(recordKey, content))
	n.HeadComment = "# What was generated, for osbs generate --upgrade to tell what a site has changed since. Nothing reads it at run time."
	return append(slices.Clone(objects), yaml.NewRNode(n)), nil
}

// pack is objects as compressed text, in lines.
func pack(objects []*yaml.RNode) (string, error) {
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", failure.New(failure.Internal, "recording what was generated: %w", err)
	}
	if err := manifest.Write(z, objects); err != nil {
		return "", err
	}
	if err := z.Close(); err != nil {
		return "", failure.New(failure.Internal, "recording what was generated: %w", err)
	}
	if packed.Len() > maxRecord {
		return "", failure.New(failure.Usage, "the generated objects have %d bytes when compressed: a ConfigMap can hold %d", packed.Len(), maxRecord)
	}
	var out strings.Builder
	text := base64.StdEncoding.EncodeToString(packed.Bytes())
	for line := range slices.Chunk([]byte(text), 120) {
		out.Write(line)
		out.WriteByte('\n')
	}
	return out.String(), nil
}

func isRecord(o *yaml.RNode) bool {
	return o.GetKind() == "ConfigMap" && tree.Text(o.YNode(), "metadata", "labels", recordLabel) == "true"
}

// BaseOf returns the objects that Stamp has recorded in objects. That there is no record is failure.NotFound.
func BaseOf(objects []*yaml.RNode) ([]*yaml.RNode, error) {
	r := record(objects)
	if r == nil {
		err := failure.New(failure.NotFound, "there is no record of what was generated: no ConfigMap with the label %s", recordLabel)
		return nil, failure.WithHint(err, "give the file that the old version has generated: --base FILE")
	}
	what := "the ConfigMap " + r.GetName()
	packed, err := base64.StdEncoding.DecodeString(tree.Text(r.YNode(), "binaryData", recordKey))
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "%s: %s is damaged: %w", what, recordKey, err)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "%s: %s is damaged: %w", what, recordKey, err)
	}
	text, err := io.ReadAll(io.LimitReader(z, maxObjects+1))
	if err != nil {
		return nil, failure.New(failure.InvalidInput, "%s: %s is damaged: %w", what, recordKey, err)
	}
	if len(text) > maxObjects {
		return nil, failure.New(failure.InvalidInput, "%s: %s has more than %d bytes", what, recordKey, maxObjects)
	}
	return manifest.Read(what, bytes.NewReader(text))
}
