@echo off
rem Opens the dashboard; makes its environment first. Not tried on a real Windows yet.
setlocal
cd /d "%~dp0"
if not exist ".venv\Scripts\kb.exe" (
    powershell -NoProfile -ExecutionPolicy Bypass -File "%~dp0setup.ps1"
    if errorlevel 1 (
        pause
        exit /b 1
    )
)
".venv\Scripts\kb.exe" app %*
if errorlevel 1 pause
