"""What the course's authors run and a learner never needs: the making of what the package carries."""
