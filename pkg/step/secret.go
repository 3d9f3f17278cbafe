package step

import (
	"errors"
	"io/fs"
	"os"
	"strings"
)

// MountedSecret is dir if a Secret is mounted there. If there is nothing, because the Secret is optional and does not exist, it is
// empty: there are no credentials, which the log tells.
func (e Env) MountedSecret(dir string) string {
	if dir == "" {
		return ""
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return dir // whoever reads it says what is wrong
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), "..") { // what the kubelet keeps there, also of an empty Secret
			return dir
		}
	}
	e.Log.Info("no Secret is mounted: going on without credentials", "directory", dir)
	return ""
}
