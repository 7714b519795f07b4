"""Schedules: functions Kernel -> Kernel that change how a kernel runs, and what they must know of it."""
