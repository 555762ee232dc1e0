// Package migrations embeds the numbered SQL of Longitude's own database.
package migrations

import "embed"

// Files holds the migrations, in goose's format, applied in order and never edited
// once released.
//
//go:embed *.sql
var Files embed.FS
