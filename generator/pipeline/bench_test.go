package pipeline_test

import (
	"testing"

	"github.com/osbs-tekton/osbs/generator/chain"
	"github.com/osbs-tekton/osbs/generator/config"
	"github.com/osbs-tekton/osbs/generator/layout"
	"github.com/osbs-tekton/osbs/generator/pipeline"
)

// BenchmarkRender measures a fused Pipeline, from the configuration to the tree.
func BenchmarkRender(b *testing.B) {
	cfg := config.Default()
	for b.Loop() {
		c, err := chain.New(cfg)
		if err != nil {
			b.Fatal(err)
		}
		if err := layout.Arrange(c, config.Layout{Name: config.Fused}); err != nil {
			b.Fatal(err)
		}
		if _, err := pipeline.Render(cfg, c); err != nil {
			b.Fatal(err)
		}
	}
}
