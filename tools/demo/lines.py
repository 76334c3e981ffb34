"""How the demo speaks unless told otherwise, and what it is tried with: opening lines, a user's side of conversations.

The lines were written while the first model was trained, and none was exchanged afterwards.
"""

# how the demo answers unless it is told otherwise; chosen by trying (see the card)
GENERATION = {
    "num_beams": 4,
    "min_length": 6,
    "max_length": 40,
    "length_penalty": 0.65,
    "no_repeat_ngram_size": 3,
    "encoder_no_repeat_ngram_size": 4,
}

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

CONVERSATIONS = (
    ("Hi there!", "I'm good. What do you do for fun?", "That sounds fun. How often do you do that?",
     "I like to play soccer.", "Do you have any pets?", "It was nice talking to you."),
    ("Hello, how are you today?", "I'm fine, thanks. Do you like movies?", "I like comedies.",
     "Which movie did you see last?", "I have not seen it. Is it good?", "I will watch it then."),
    ("Hey! What's your name?", "My name is Anna. Where do you live?", "I live in California.",
     "It is very warm here.", "I go to the beach every day.", "Do you like to swim?"),
    ("What kind of music do you like?", "I like rock music.", "I play the guitar.", "Do you play anything?",
     "I have a concert next week.", "You should come!"),
    ("I just got a new puppy!", "His name is Max.", "He is very small and brown.", "Do you have a dog?",
     "I also have a cat.", "They like each other a lot."),
    ("What did you have for dinner?", "I had pasta.", "I made it myself.", "Do you like Italian food?",
     "My favorite dessert is ice cream.", "Chocolate, of course."),
    ("I have a big exam tomorrow.", "It is in math.", "I have studied all week.", "I am very nervous.",
     "Thank you, that is kind.", "I will tell you how it went."),
    ("Do you like football?", "Which team is your favorite?", "I like the Patriots.", "Did you see the last game?",
     "It was very exciting.", "Who will win the Super Bowl?"),
    ("I had a long day at work.", "I am a nurse.", "I work at night.", "It is hard, but I like it.",
     "What do you do for work?", "Do you like your job?"),
    ("I am going on a trip next month.", "I am going to Italy.", "Have you ever been there?",
     "I want to see Rome.", "What is your favorite place to visit?", "Why do you like it?"),
)  # fmt: skip
