package config

import "errors"

// Load reads a configuration.
func Load(file string, data []byte) (*Config, error) {
	return nil, errors.New("not written yet")
}

// Default is the configuration of a site that has said nothing.
func Default() *Config {
	return &Config{Name: "osbs", Layout: Layout{Name: Chained}, GitSecret: "osbs-git", RegistrySecret: List{"osbs-registry"}, PulpSecret: "osbs-pulp",
		BuildSecurity: UserNamespace, Workspace: Workspace{Size: "10Gi", AccessMode: "ReadWriteOnce"}, Timeout: "4h",
		Autorebuild: Autorebuild{WebhookSecret: "osbs-webhook", MaxConcurrent: 5, Rate: 30}}
}

// Validate checks a configuration.
func (c *Config) Validate() error { return nil }

// Schema is the JSON schema of the configuration.
func Schema() []byte { return nil }

// Conversion is what became of an osbs.conf.
type Conversion struct {
	// Config is the configuration, and Overlay the overlay, as YAML with comments; Overlay is empty if none is needed.
	Config, Overlay string
	// Notes say what could not be carried over, and what a person must do; one line each.
	Notes []string
}

// FromOSBSConf converts the settings of one instance of an osbs.conf, and a prod_customize.json if customize has any content.
func FromOSBSConf(file string, data []byte, instance string, customizeFile string, customize []byte) (*Conversion, error) {
	return nil, errors.New("not written yet")
}
