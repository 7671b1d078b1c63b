// Go wants a file like this where a function, validateUpdate, has no body.
