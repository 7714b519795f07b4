"""Memory: where temporaries stand, and what is computed in place, copied or computed again."""
