package filled_artifact

import "longitude/deid"

func leak(rows []byte) (a deid.Artifact) {
	a.bytes = rows // want "undefined"
	return a
}
