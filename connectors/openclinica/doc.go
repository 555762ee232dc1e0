// Package openclinica pulls a study from OpenClinica 3.x, LibreClinica or OpenClinica 4
// through their web services, as ODM. They cannot say what has changed: each pull asks
// for everything, and takes in the export of a study or site only where it says
// something else than the one before.
package openclinica
