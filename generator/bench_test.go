package generator_test

import (
	"testing"

	"github.com/osbs-tekton/osbs/generator"
	"github.com/osbs-tekton/osbs/generator/config"
)

func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		if _, err := generator.Generate(b.Context(), generator.Input{Config: config.Default()}); err != nil {
			b.Fatal(err)
		}
	}
}
