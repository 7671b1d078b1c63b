package workload

// MaxTrees and Trees bound the custom resources that are read at the same time.
const MaxTrees = maxTrees

var Trees = trees
