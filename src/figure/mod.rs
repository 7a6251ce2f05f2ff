//! Pictures: curves, image grids, bars, heat maps. No opinion on where they are shown.
