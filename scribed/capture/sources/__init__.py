"""Where sound comes from: one file for each library that delivers it."""
