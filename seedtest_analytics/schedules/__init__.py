"""When things run: schedules in place of the CronJobs, sensors that follow data and runs, alerts."""
