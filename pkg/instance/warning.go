package instance

import "sync"

// onceEach implements rest.WarningHandler.
type onceEach struct {
	warn func(string)

	mu   sync.Mutex
	told map[string]bool
}

// warningCode is the only one that an API server sends.
const warningCode = 299

// HandleWarningHeader implements rest.WarningHandler.
func (o *onceEach) HandleWarningHeader(code int, _, text string) {
	if code != warningCode || text == "" {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.told[text] {
		o.told[text] = true
		o.warn(text)
	}
}
