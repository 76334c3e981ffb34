"""Opening lines by topic, for measurements that need ordinary input (see tools/measure/lookup.py).

What the demo is judged by lies in `tried/`.
"""

OPENINGS = {
    "greetings": (
        "Hello!",
        "Hi, how are you?",
        "Hey, what's up?",
        "Good morning! Did you sleep well?",
        "What's your name?",
        "Where are you from?",
    ),
    "hobbies": (
        "What do you like to do for fun?",
        "I love to read books.",
        "I like to play the guitar.",
        "Do you like to travel?",
        "I went hiking last weekend.",
        "I am learning to paint.",
    ),
    "films": (
        "What is your favorite movie?",
        "Have you seen Star Wars?",
        "I love horror movies.",
        "Did you like the new Batman movie?",
        "I watched a great movie last night.",
        "Who is your favorite actor?",
    ),
    "music": (
        "What kind of music do you like?",
        "Do you play any instruments?",
        "I love the Beatles.",
        "I went to a concert yesterday.",
        "Do you like rap?",
    ),
    "pets": (
        "Do you have any pets?",
        "I have two dogs.",
        "I have a cat named Luna.",
        "My dog is sick today.",
        "Do you like cats or dogs?",
    ),
    "food": (
        "What is your favorite food?",
        "I love pizza.",
        "I am cooking dinner right now.",
        "Do you like to cook?",
        "I am hungry.",
        "Do you like coffee?",
    ),
    "work": (
        "What do you do for a living?",
        "I am a teacher.",
        "I am a student.",
        "I am looking for a new job.",
        "I work at a hospital.",
        "I am so tired from work.",
    ),
}
