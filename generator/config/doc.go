// Package config is the configuration of the generator: one YAML file in which a site says which registries, secrets, layout and
// settings its pipeline has. It reads and checks the file, prints its JSON schema, and converts an osbs.conf.
package config
