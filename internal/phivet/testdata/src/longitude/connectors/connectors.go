package connectors

type Delivery struct{ Item, Name, Version string }
