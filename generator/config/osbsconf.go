package config

import "errors"

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
