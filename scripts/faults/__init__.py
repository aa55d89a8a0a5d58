"""What scripts/fault_campaign.py does to trainings and studies, and what it makes of it.

subjects (what is harmed) → faulty (their processes) → kills, and bench → damages, places (faults);
mutations → files → folders → fuzz (odd inputs); pages (the tables of docs/reliability.md).
"""
