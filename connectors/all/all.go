// Package all is the list of connectors: one line each.
package all

import (
	"longitude/connectors"
	"longitude/connectors/folder"
	"longitude/connectors/gcs"
	"longitude/connectors/redcap"
	"longitude/connectors/sftp"
)

// Specs lists every connector of this program.
func Specs() []connectors.Spec {
	return []connectors.Spec{
		folder.Spec(),
		gcs.Spec(),
		redcap.Spec(),
		sftp.Spec(),
	}
}
