"""When things run: schedules that replace the CronJobs, sensors that follow data and runs, alerts."""
