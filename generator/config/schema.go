package config

import (
	_ "embed"
	"slices"
)

//go:generate go test -run ^TestSchemaIsCurrent$|^TestReferenceIsCurrent$ -update .

//go:embed schema.json
var schema []byte

// Schema is the JSON schema (draft 2020-12) of a configuration. It is made from the types and rules of this package.
func Schema() []byte { return slices.Clone(schema) }
