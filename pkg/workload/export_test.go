package workload

// MaxReading and Reading bound the objects that are read at the same time.
const MaxReading = maxReading

var Reading = reading
