package forged_artifact

import "longitude/deid"

func leak(rows []byte) deid.Artifact {
	return deid.Artifact{path: "data/visits/part-00000.parquet", bytes: rows} // want "unexported field"
}
