// Package lineage says where released data come from: the way back from one
// released row to the bytes that were landed (Trace), and for every column of a
// release the column of a source and what was done on the way (Column).
//
// Row lineage stays with the operator: shipped with a release, it would tell a
// site which row is whose. Column lineage holds no data and is part of every
// release.
package lineage
