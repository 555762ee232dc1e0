package told

import (
	"fmt"
	"strconv"
)

// Outside the rooms that read records, bytes and numbers are settings and arguments.
func setting(text []byte) error {
	if _, err := strconv.Atoi(string(text)); err != nil {
		return fmt.Errorf("workers: %w", err)
	}
	return fmt.Errorf("no such word: %s", text)
}
